"""The doctor: runs the checks of all rooms and tells what is wrong and what to do about it."""
