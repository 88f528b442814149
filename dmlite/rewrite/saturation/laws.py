"""The laws of matrix algebra, in both directions: what an ordered set of rules cannot hold, because it would not come to an end.

Names say what they stand for: P, Q and Z anything, C a column, R a row, other capitals a matrix, small letters a scalar.
Names that differ in their digit alone stand for values of one shape (X1, X2). The shapes that a product needs are checked
where a law makes one; cellwise laws hold under broadcasting, and operands that DML does not broadcast are never chosen.
Commuted operands are found without being written. A law with one arrow would lose more than rounding the other way round.
"""

from __future__ import annotations

from typing import Final

LAWS: Final[dict[str, str]] = {
    # sums and products, cell by cell
    "sum_associates": "P + (Q + Z) <-> (P + Q) + Z",
    "product_associates": "P * (Q * Z) <-> (P * Q) * Z",
    "sum_of_difference": "P + (Q - Z) <-> (P + Q) - Z",
    "difference_of_sum": "P - (Q + Z) <-> (P - Q) - Z",
    "difference_of_difference": "P - (Q - Z) <-> (P - Q) + Z",
    "common_factor": "P * Q + P * Z <-> P * (Q + Z)",
    "common_factor_of_difference": "P * Q - P * Z <-> P * (Q - Z)",
    "factor_and_itself": "P * Q + P <-> P * (Q + 1)",
    "factor_less_itself": "P * Q - P <-> P * (Q - 1)",
    "less_its_multiple": "P - P * Q <-> P * (1 - Q)",
    "common_divisor": "P / Q + Z / Q <-> (P + Z) / Q",
    "common_divisor_of_difference": "P / Q - Z / Q <-> (P - Z) / Q",
    "divided_factor": "P * (Q / Z) <-> (P * Q) / Z",
    "divided_twice": "(P / Q) / Z <-> P / (Q * Z)",
    "square_is_product": "square(P) <-> P * P",
    "square_of_product": "square(P * Q) <-> square(P) * square(Q)",
    "negated_product": "-(P * Q) <-> (-P) * Q",
    "negated_difference": "-(P - Q) <-> Q - P",
    "negated_operand": "P - Q <-> P + (-Q)",
    "product_of_exponentials": "exp(P) * exp(Q) -> exp(P + Q)",
    # matrix products
    "matmul_associates": "A %*% (B %*% D) <-> (A %*% B) %*% D",
    "matmul_of_sum": "A %*% (B + D) <-> A %*% B + A %*% D",
    "sum_in_matmul": "(B + D) %*% A <-> B %*% A + D %*% A",
    "matmul_of_difference": "A %*% (B - D) <-> A %*% B - A %*% D",
    "difference_in_matmul": "(B - D) %*% A <-> B %*% A - D %*% A",
    "matmul_of_negation": "A %*% (-B) <-> -(A %*% B)",
    "negation_in_matmul": "(-A) %*% B <-> -(A %*% B)",
    "matmul_of_multiple": "A %*% (s * B) <-> s * (A %*% B)",
    "multiple_in_matmul": "(s * A) %*% B <-> s * (A %*% B)",
    "matmul_of_fraction": "A %*% (B / s) <-> (A %*% B) / s",
    "fraction_in_matmul": "(A / s) %*% B <-> (A %*% B) / s",
    "scaled_rows": "(C * A) %*% B <-> C * (A %*% B)",
    "scaled_columns": "A %*% (B * R) <-> (A %*% B) * R",
    "scaled_inside": "(A * R) %*% B <-> A %*% (t(R) * B)",
    "divided_rows": "(A / C) %*% B <-> (A %*% B) / C",
    "divided_columns": "A %*% (B / R) <-> (A %*% B) / R",
    "outer_product": "X * (C %*% R) <-> (C * X) * R",
    # transposes
    "transposed_matmul": "t(A %*% B) <-> t(B) %*% t(A)",
    "matmul_by_transposes": "t(A) %*% B <-> t(t(B) %*% A)",
    "transposed_sum": "t(A + B) <-> t(A) + t(B)",
    "transposed_difference": "t(A - B) <-> t(A) - t(B)",
    "transposed_product": "t(A * B) <-> t(A) * t(B)",
    "transposed_quotient": "t(A / B) <-> t(A) / t(B)",
    "transposed_multiple": "t(A * s) <-> t(A) * s",
    "transposed_fraction": "t(A / s) <-> t(A) / s",
    "transposed_shift": "t(A + s) <-> t(A) + s",
    "transposed_negation": "t(-A) <-> -t(A)",
    "transposed_square": "t(square(A)) <-> square(t(A))",
    "transposed_row_sums": "t(rowSums(A)) <-> colSums(t(A))",
    "transposed_column_sums": "t(colSums(A)) <-> rowSums(t(A))",
    # sums of cells
    "total_of_sum": "sum(X1 + X2) <-> sum(X1) + sum(X2)",
    "total_of_difference": "sum(X1 - X2) <-> sum(X1) - sum(X2)",
    "total_of_multiple": "sum(X * s) <-> sum(X) * s",
    "total_of_fraction": "sum(X / s) <-> sum(X) / s",
    "total_by_rows": "sum(X) <-> sum(rowSums(X))",
    "total_by_columns": "sum(X) <-> sum(colSums(X))",
    "total_of_transpose": "sum(t(X)) -> sum(X)",
    "row_sums_of_sum": "rowSums(X1 + X2) <-> rowSums(X1) + rowSums(X2)",
    "row_sums_of_difference": "rowSums(X1 - X2) <-> rowSums(X1) - rowSums(X2)",
    "row_sums_of_multiple": "rowSums(X * s) <-> rowSums(X) * s",
    "row_sums_of_scaled_rows": "rowSums(X * C) <-> rowSums(X) * C",
    "row_sums_weighted": "rowSums(X * R) <-> X %*% t(R)",
    "row_sums_of_matmul": "rowSums(A %*% B) <-> A %*% rowSums(B)",
    "column_sums_of_sum": "colSums(X1 + X2) <-> colSums(X1) + colSums(X2)",
    "column_sums_of_difference": "colSums(X1 - X2) <-> colSums(X1) - colSums(X2)",
    "column_sums_of_multiple": "colSums(X * s) <-> colSums(X) * s",
    "column_sums_of_scaled_columns": "colSums(X * R) <-> colSums(X) * R",
    "column_sums_weighted": "colSums(X * C) <-> t(C) %*% X",
    "column_sums_of_matmul": "colSums(A %*% B) <-> colSums(A) %*% B",
    # sums of products
    "total_of_matmul": "sum(A %*% B) <-> sum(t(colSums(A)) * rowSums(B))",
    "total_of_weighted_matmul": "sum(X * (A %*% B)) <-> sum((X %*% t(B)) * A)",
    "total_of_matmul_weighted": "sum(X * (A %*% B)) <-> sum((t(A) %*% X) * B)",
    "total_of_squared_matmul": "sum(square(A %*% B)) -> sum((t(A) %*% A) * (B %*% t(B)))",
    "total_of_squared_difference": "sum(square(X1 - X2)) -> sum(square(X1)) - 2 * sum(X1 * X2) + sum(square(X2))",
}
