"""Files and folders of a project: where things lie and how configs are read and written."""
