"""The control process: it speaks to systemd, the broker and people, decides what serves, and never touches a frame."""
