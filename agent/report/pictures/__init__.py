"""The pictures of a report, a module for each, with the tables behind them."""
