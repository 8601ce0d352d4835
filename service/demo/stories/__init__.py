"""The stories of the demo, one file each: read as prose, checked at the HTTP answer, the database and the topics."""
