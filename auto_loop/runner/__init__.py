"""Programs of the job's own process: the keeper above it and the runner around the user's script.

They are run by path, under any Python from 3.9 on, where nothing of ours need be installed: so no file here imports
anything but the standard library, and nothing of the house imports them. What they exchange with the house is in
`schema`.
"""
