"""Where each column's value comes from: from the SQL of the steps and the declarations of the loaders alone."""
