"""The peers: what people write or take instead, each as its own documentation says, in a process of its own."""
