; Refunds of any number of backers sum to no more than the unreleased pool, and to less than a unit a backer short of it.
; By induction over the backers: `sum` is what the `count` backers before get, who pledged `own` together. Each refund is
; exact to the unit, which `check_refundIsExactToTheUnit` in tests/forge/proofs/MoneyProof.sol proves of the contract.
(declare-const pledged Int)
(declare-const unreleased Int)
(declare-const own Int)
(declare-const sum Int)
(declare-const count Int)
(declare-const pledge Int)
(declare-const refund Int)
(assert (and (> pledged 0) (<= 0 unreleased pledged) (<= 0 own) (<= 0 pledge) (<= (+ own pledge) pledged)))
(assert (>= count 0))
(assert (<= (* sum pledged) (* own unreleased)))
(assert (>= (* (+ sum count) pledged) (* own unreleased)))
(assert (<= (* refund pledged) (* pledge unreleased)))
(assert (> (* (+ refund 1) pledged) (* pledge unreleased)))
(check-sat)
(assert (not (and
  (<= (* (+ sum refund) pledged) (* (+ own pledge) unreleased))
  (> (* (+ sum refund count 1) pledged) (* (+ own pledge) unreleased))
  (=> (= (+ own pledge) pledged)
      (and (<= (+ sum refund) unreleased) (> (+ sum refund count 1) unreleased))))))
(check-sat)
