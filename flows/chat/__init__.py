"""What people do in Slack besides asking: clicks on buttons, and slash commands."""
