"""The trainers that the loop is shipped with: programs of the job's own process, strangers to the house."""
