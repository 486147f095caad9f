"""Migrates the schema that `-x schema=NAME` names."""

from alembic import context
from sqlalchemy import create_engine, pool
from sqlalchemy.schema import CreateSchema

schema = context.get_x_argument(as_dictionary=True)["schema"]
engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
with engine.connect() as connection:
    connection.execute(CreateSchema(schema, if_not_exists=True))
    connection.commit()
    connection = connection.execution_options(schema_translate_map={None: schema})
    context.configure(connection=connection, version_table_schema=schema)
    with context.begin_transaction():
        context.run_migrations()
