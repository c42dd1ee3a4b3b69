"""What runs inside a child: guard, warm process, and one run after another."""
