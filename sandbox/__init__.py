"""Stand-ins for the outside world that speak its real protocols on loopback: Stripe, eSIM Access, a mailbox.

The sandbox knows nothing of the shop and the shop nothing of the sandbox: they meet on a socket.
"""
