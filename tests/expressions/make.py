#!/usr/bin/env python3
"""Fills postgres.tsv with what PostgreSQL itself answers.

Every line of postgres.tsv is an expression, a tab and its value as text. This script keeps the expressions, asks a
PostgreSQL server for the values and writes the file anew; to add a row, add a line with the expression and run it:

    tests/expressions/make.py [/usr/lib/postgresql/15/bin]

It needs PostgreSQL 15 (Debian: postgresql-15) and makes a cluster of its own in a temporary directory, which it stops
and removes. Run as root it uses the user `postgres`, since the server refuses to run as root.

The expressions see one row of fields, FIELDS below, the same that tests/expressions.rs has. Values are text:
`NULL`; `error` where the server reports any error; a timestamp as RFC 3339 in UTC with 0, 3 or 6 digits of the
second; an interval as ISO 8601; everything else as a cast to text gives it. tests/expressions.rs compares two numbers
by their value, so that zeros at the end do not count (PostgreSQL's 3.5000000000000000 is 3.5).

Expressions whose value knowingly differs, or that PostgreSQL does not have, are in own.tsv, with the reason.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TABLE = HERE / "postgres.tsv"

FIELDS = """
    7::bigint AS i, (-3)::bigint AS j, 0::bigint AS z, 9223372036854775807::bigint AS big,
    2.50::numeric AS d, (-0.125)::numeric AS m, 0.1::float8 AS f, (-2.5)::float8 AS g,
    'Hello, World'::text AS s, 'äöü€'::text AS u, ''::text AS e,
    true AS b, false AS c,
    '2024-02-29T12:30:45.123456Z'::timestamptz AS t, '1 day 02:03:04.5'::interval AS v,
    NULL::bigint AS nn, NULL::text AS ns, NULL::boolean AS nb, NULL::timestamptz AS nt
"""

SETUP = """
CREATE FUNCTION value_of(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
    EXECUTE 'SELECT pg_typeof(x)::text || chr(9) || coalesce(x::text, ''NULL'') FROM (SELECT ('
        || expression || ') AS x FROM fields) AS y' INTO result;
    RETURN result;
EXCEPTION WHEN others THEN RETURN 'error' || chr(9) || 'error';
END $$;
"""


def value(line):
    kind, text = line.split("\t", 1)
    if kind.startswith("timestamp") and text != "NULL":
        date, time = re.fullmatch(r"(\S+) (\S+?)(?:\+00)?", text).groups()
        whole, _, digits = time.partition(".")
        digits = digits.ljust(3 if len(digits) <= 3 else 6, "0") if digits else ""
        return f"{date}T{whole}{'.' if digits else ''}{digits}Z"
    return text


def ask(bin_dir, expressions):
    """The server's answers, in order."""
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="expressions-") as folder:
        if as_user:
            subprocess.run(["chown", "postgres:postgres", folder], check=True)
        data = f"{folder}/data"

        def run(*command, **options):
            environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": folder}
            return subprocess.run([*as_user, *command], check=True, env=environment, text=True, cwd=folder, **options)

        quiet = {"stdout": subprocess.DEVNULL}
        run(f"{bin_dir}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", **quiet)
        settings = f"-k {folder} -c listen_addresses='' -c timezone=UTC -c intervalstyle=iso_8601 -c fsync=off"
        run(f"{bin_dir}/pg_ctl", "-D", data, "-w", "-l", f"{folder}/log", "-o", settings, "start", **quiet)
        try:
            sql = [SETUP, f"CREATE TABLE fields AS SELECT {FIELDS};"]
            sql += [f"SELECT value_of($expression${e}$expression$);" for e in expressions]
            psql = [f"{bin_dir}/psql", "-h", folder, "-U", "postgres", "-q", "-At", "-v", "ON_ERROR_STOP=1"]
            answers = run(*psql, input="\n".join(sql), stdout=subprocess.PIPE).stdout
        finally:
            run(f"{bin_dir}/pg_ctl", "-D", data, "-m", "fast", "stop", **quiet)
    return [value(line) for line in answers.splitlines()]


def main():
    bin_dir = sys.argv[1] if len(sys.argv) > 1 else "/usr/lib/postgresql/15/bin"
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    expressions = [line.split("\t")[0] for line in lines if line and not line.startswith("#")]
    answers = ask(bin_dir, expressions)
    if len(answers) != len(expressions):
        sys.exit(f"{len(expressions)} expressions, {len(answers)} answers")
    rows = iter(zip(expressions, answers))
    out = [line if not line or line.startswith("#") else "\t".join(next(rows)) for line in lines]
    TABLE.write_text("\n".join(out) + "\n", encoding="utf-8")
    print(f"{len(answers)} expressions")


if __name__ == "__main__":
    main()
