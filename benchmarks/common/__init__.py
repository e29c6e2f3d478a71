"""What every part uses: errors, files, interrupts, hardware, random streams."""
