"""The PBX's manager interface (AMI) for the site and the worker, through panoramisk."""
