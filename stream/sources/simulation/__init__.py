"""A physical model of servers: what they run, what that draws, and what their meters say of it."""
