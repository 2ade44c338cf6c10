"""The operator of the installation: keys of their own, and all organizations from above."""
