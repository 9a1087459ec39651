"""Parts of the loop: progress, early stop, averages, schedules."""
