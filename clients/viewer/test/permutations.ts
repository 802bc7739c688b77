/** All 48 ways in which a volume's axes can run. */
export function permutations(): number[][] {
  const orders = [
    [1, 2, 3],
    [1, 3, 2],
    [2, 1, 3],
    [2, 3, 1],
    [3, 1, 2],
    [3, 2, 1],
  ];
  const signs = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => [0, 1, 2].map((bit) => ((n >> bit) & 1 ? -1 : 1)));
  return orders.flatMap((order) => signs.map((sign) => order.map((axis, r) => axis * sign[r])));
}
