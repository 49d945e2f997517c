// Administration and one's own account.
export default {
};
