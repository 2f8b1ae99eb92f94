"""Insert rows into rows.db, in one transaction or each in its own: insert.py once|each ROWS"""

import sqlite3
import sys

rows = sqlite3.connect("rows.db")
rows.execute("DROP TABLE IF EXISTS rows")
rows.execute("CREATE TABLE rows (text)")
for _ in range(int(sys.argv[2])):
    rows.execute("INSERT INTO rows VALUES ('a row')")
    if sys.argv[1] == "each":
        rows.commit()
rows.commit()
