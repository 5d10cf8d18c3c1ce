"""The store-and-forward spool on disk: segments, ledger, write-ahead file, downsampling when full."""
