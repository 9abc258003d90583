"""The replay of the log on many machines: slices as files, one pure function, and a sum.

`slice_replay.replay_slice` turns the file of a slice into a `SliceReplay`, and two of these add up. So any
system that can map files and add results can run it. `on_dask` does, and `manifest` lets a run resume.
"""
