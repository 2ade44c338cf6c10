"""The source type `local_folder`: files of this machine, below one folder."""
