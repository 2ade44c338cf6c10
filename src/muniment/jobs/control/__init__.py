"""What people and programs do with jobs beside looking at them: cancel, retry, measure, pause."""
