"""Raw values of every usual kind, opened: pictures, clips, sounds, boxes."""
