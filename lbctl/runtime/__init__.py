"""What every process of lbctl needs and that decides nothing: logs, settings files, signals."""
