from django.db import migrations, models


class Migration(migrations.Migration):
    operations = (
        migrations.CreateModel(name="Greeting", fields=[("text", models.TextField(primary_key=True, serialize=False))]),
    )
