"""The alarms that the banner shows, a module for each subject."""
