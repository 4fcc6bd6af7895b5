-- Three roles for linkyd on a PostgreSQL server, and a schema of its own:
--
--   linkyd_owner   owns the tables, and migrates them: `linkyd db migrate`
--   linkyd         writes rows: `linkyd run` and the other commands
--   linkyd_reader  sees the views, and nothing else: dashboards
--
-- Run it as an administrator who is connected to linkyd's database, and once more after each
-- `linkyd db migrate`, which may bring new views:
--
--   createdb linkyd
--   psql --dbname linkyd --file roles.sql
--   psql --dbname linkyd --command '\password linkyd_owner'     (and of the two others)
--
-- Nothing here needs a superuser: CREATEROLE and being the owner of the database are enough.

BEGIN;

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['linkyd_owner', 'linkyd', 'linkyd_reader'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role);
        END IF;
        -- So no query has to name the schema.
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = linkyd', role, current_database());
    END LOOP;
    -- To act for the owner below, an administrator who is no superuser has to be a member. Since
    -- PostgreSQL 16 who creates a role is one that may only administer it, hence USAGE.
    IF NOT pg_has_role('linkyd_owner', 'USAGE') THEN
        EXECUTE format('GRANT linkyd_owner TO %I', current_user);
    END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS linkyd AUTHORIZATION linkyd_owner;
GRANT USAGE ON SCHEMA linkyd TO linkyd, linkyd_reader;

-- The writer: rows of all tables, those that migrations will bring included, and no table of its own.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA linkyd TO linkyd;
-- `linkyd db copy` brings numbers along, and sets the sequences behind them.
GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA linkyd TO linkyd;
ALTER DEFAULT PRIVILEGES FOR ROLE linkyd_owner IN SCHEMA linkyd
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO linkyd;
ALTER DEFAULT PRIVILEGES FOR ROLE linkyd_owner IN SCHEMA linkyd
    GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO linkyd;

-- The version of the schema is the owner's alone.
DO $$
DECLARE
    found text;
BEGIN
    IF to_regclass('linkyd.schema_version') IS NOT NULL THEN
        REVOKE INSERT, UPDATE, DELETE ON linkyd.schema_version FROM linkyd;
    END IF;
    -- The reader: the views, which read with the rights of their owner. Personal data is in none.
    FOR found IN SELECT viewname FROM pg_views WHERE schemaname = 'linkyd' AND starts_with(viewname, 'v_') LOOP
        EXECUTE format('GRANT SELECT ON linkyd.%I TO linkyd_reader', found);
    END LOOP;
END
$$;

COMMIT;
