"""Call-detail records of the PBX, read from its file into SQL, across rotations."""
