"""What do we owe the client? Lifecycle, ledger, streams, pacing, pulse. Pure: takes `now`."""
