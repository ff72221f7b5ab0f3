"""What is generated of the Helm chart: schema of the values, tables of the README, defaults, alerts and dashboards."""
