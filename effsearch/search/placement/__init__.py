"""Where trainings run, and whether there is time for another."""
