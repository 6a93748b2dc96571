-- A user for Aspora that may read the mapped tables and nothing else. Put your schema and tables in; run it as
-- the schema's owner or an administrator. Everything here means the same on PostgreSQL and Amazon Redshift.
-- With IAM authentication leave the password out and write PASSWORD DISABLE (Redshift only).
CREATE USER aspora_reader PASSWORD 'Put-a-l0ng-one-here';
CREATE GROUP aspora_readers WITH USER aspora_reader;

-- What everybody may do, this user need not: make tables in public.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- The schema of the mapped tables, and those tables one by one. A view, late-binding or not, needs USAGE on its
-- own schema and SELECT on itself; a late-binding view's owner needs both on what it reads.
GRANT USAGE ON SCHEMA ops TO GROUP aspora_readers;
GRANT SELECT ON TABLE ops.orders TO GROUP aspora_readers;

-- Also for connections that forget to ask: no statement of this user takes longer than a minute.
ALTER USER aspora_reader SET statement_timeout TO 60000;
