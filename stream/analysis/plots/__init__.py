"""Pictures of what was recorded and of what models say of it; they need matplotlib."""
