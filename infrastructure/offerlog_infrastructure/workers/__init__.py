"""Workers: the processes of one service on one machine, and the supervisor that starts and ends them."""
