"""Sets of visual inspection: circuit boards and magnetic tiles, good or with a defect."""
