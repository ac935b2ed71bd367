"""Raw values of every usual kind, opened: pictures, clips, boxes."""
