"""What the host and its peers say to one another: messages, codec and connection state, without any socket."""
