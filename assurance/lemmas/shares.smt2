; A share in basis points grows with the basis points, is no more than the whole, and the whole at 10 000.
; Needed for: tranches. `_assumeMonotone` in tests/forge/proofs/MoneyProof.sol.
(declare-const number Int)
(declare-const smaller Int)
(declare-const larger Int)
(assert (>= number 0))
(assert (<= 0 smaller larger))
(check-sat)
(define-fun share ((bps Int)) Int (div (* number bps) 10000))
(assert (not (and
  (<= (share smaller) (share larger))
  (=> (<= larger 10000) (<= (share larger) number))
  (=> (= larger 10000) (= (share larger) number)))))
(check-sat)
