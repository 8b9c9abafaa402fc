"""What each command does: the rooms put together, with files, clocks and devices handed in here."""
