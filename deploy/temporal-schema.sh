#!/bin/sh
# Creates or updates Temporal's two databases. Safe to run again: every step passes over what is there.
# The host, the user, the password and the plugin come from SQL_* variables, as temporal-sql-tool reads them.
set -eu

schema() {
  database=$1 versions=$2
  temporal-sql-tool --db "$database" create
  temporal-sql-tool --db "$database" setup-schema -v 0.0
  temporal-sql-tool --db "$database" update-schema -d "/etc/temporal/schema/postgresql/v12/$versions/versioned"
}

schema temporal temporal
schema temporal_visibility visibility
