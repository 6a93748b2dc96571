"""What people see and are told of the platform: dashboards, rules, alerts."""
