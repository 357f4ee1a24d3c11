package row
