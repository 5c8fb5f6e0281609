"""The PBX as the site and the worker speak to it: its manager interface (AMI), through panoramisk."""
