"""One module per command or group of commands; each offers ``app``."""
