package rates // want want: plural, and no comment
