"""What takes part in the loop: progress, early stop, averages, schedules."""
